"""The command `hilum`. Modules import what is heavy inside their commands, so that `hilum --help` is quick."""
