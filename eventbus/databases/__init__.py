"""What every adapter on a database needs: its address, connections, patience, migrations, clear words.

It knows nothing of what is kept there. No driver is imported before it is used.
"""
