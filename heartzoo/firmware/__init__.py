"""A published model as a folder of C99 that a firmware engineer drops into a project."""
