"""What a user can set: one schema, four layers, and where each value came from.

Import the module you need; nothing is imported here, so that help and completion stay quick.
"""
