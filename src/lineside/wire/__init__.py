"""What devices speak: framing and codecs as pure functions of bytes. No Twisted, no I/O."""
