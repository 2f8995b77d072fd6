"""The event-driven edge for ERP systems.

Every acknowledged event becomes exactly one correct document, even when the network, the ERP or the
box fails.
"""
