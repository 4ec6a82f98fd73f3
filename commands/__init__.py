"""The commands that people give: `coinwire tail`, `export`, `backup`, `restore`, `credentials`, `check`."""
