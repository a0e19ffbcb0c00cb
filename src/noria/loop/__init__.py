"""The wheel and the reactor that turns it. Rooms do not know each other; here the order of their work is written down, once."""
