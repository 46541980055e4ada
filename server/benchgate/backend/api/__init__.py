"""The backend's HTTP and WebSocket face, one module per noun."""
