"""The command ``ctran``; one file a subcommand."""
