"""The streaming core: bytes and rows, nothing about students."""
