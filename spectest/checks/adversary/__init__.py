"""The adversary: looks for the problem on which a selector fails, and makes it small.

`families` says where it looks, `engine` has Hypothesis hunt there, `oracle` decides, `shrinking` makes what was found
small, `counterexample` is what remains of it.
"""
