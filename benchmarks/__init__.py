"""How fast the gate is, measured against SQL written by hand. `make bench`; nothing here is used by anything else."""
