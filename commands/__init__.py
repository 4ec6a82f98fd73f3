"""The command `coinwire`: one file per subcommand (`demo` and `run` share `cluster`), and what they share."""
