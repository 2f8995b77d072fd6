"""The main job on an embedded default: an ERP, a gateway and devices, and the ledger at the end."""
