"""Problem sets: releasing them to students, and grading what comes back.

The formats, and whatever they decide, are nbgrader's: cells, restoring of tests, points. What is
added here is that a batch survives its worst submission: each one has a process and a scratch
folder of its own, with limits on time, memory and output.

This is no sandbox. Submissions run with the rights of whoever grades them: they can read what that
user can read and reach the network. The limits stop accidents, not attacks. Where you do not trust
your students, grade in a container or on a machine that holds nothing else.
"""
