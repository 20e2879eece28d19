"""`bert benchmark`: the same work side by side, ours and what people use today, in turns in one run.

A contest is work on shared inputs. A contestant is a library with its settings; each has a process of its own, so that
libraries of other versions can take part, and so that its memory can be told. `contest.take_turns` measures them all.
"""
