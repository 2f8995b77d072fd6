"""Everything a person or program may ask of the gateway, as typed operations behind one door."""
