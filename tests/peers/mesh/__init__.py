"""Do two of our servers and one Synapse end in one state of a room, whatever happened to them and between them?

`plan` makes a run from a seed: what users do, which links are cut, which of our servers is killed. `links` stands between
the servers, so that any two of them can be parted. `run` plays it, `view` is what a server shows of the room in the end,
`agreement` holds the views beside one another: each difference needs a reason in Matrix's rules. The dice, the calls and
the names are those of `sequences`.
"""
