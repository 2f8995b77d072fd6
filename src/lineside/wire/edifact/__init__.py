"""UN/EDIFACT (ISO 9735): interchanges taken apart, orders read, receipts written; the extra ``edifact``."""
