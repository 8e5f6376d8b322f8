"""The pages of the documentation site that are made from the zoo, the commands and the table of databases.

``python -m heartzoo.website docs`` writes them, before mkdocs builds the site; none of them is kept in the repository.
"""
