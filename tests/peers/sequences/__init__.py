"""Do ours and Synapse answer the same calls alike? Random sequences of client calls, the same on both servers.

`story` makes a sequence from a seed, `duel` makes its calls on both servers and compares the answers and what clients
would have made of them, `shrink` drops the calls that a difference does not need. `calls` holds what clients ask: a new
endpoint needs one function there. `known` lists the differences that are meant.

What every room states, though a server would choose it (`calls.rooms`), and what is asked only beside one another
(`story.Story.filters_rooms`), keeps choices of Synapse's own from standing in the way of all that follows.
"""
