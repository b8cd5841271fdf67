"""JSON gateway: the HTTP wire format, the page, and the commands that run both."""
