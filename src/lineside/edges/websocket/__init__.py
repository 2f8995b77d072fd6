"""Live channels over WebSocket: Centrifugo's client protocol, served by autobahn."""
