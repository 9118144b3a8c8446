"""The command line: parse, call one task, render. One file a command."""
