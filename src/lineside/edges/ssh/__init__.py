"""SSH: partners and operators come in, legacy hosts are asked."""
