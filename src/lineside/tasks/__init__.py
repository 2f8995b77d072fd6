"""Work that is asked for once, now or by the clock, and is then done as often as was promised.

A task is a function of the user's; a run is one piece of its work. Runs live in the journal's database, so that
neither a crash nor a restart loses one. `lineside.tasks.context` is what a function gets.
"""
