"""The proof that nothing leaks: what a viewer may not see changes nothing of what they are answered.

`oracle` says in plain Python who may see what, apart from the portal's own rule, and deletes the rest. `doors` knows
every address. `comparison` asks the doors in the whole database and in the one without what is hidden; whatever differs
is a leak. The tests bring the corpora, the people and the changes.
"""
