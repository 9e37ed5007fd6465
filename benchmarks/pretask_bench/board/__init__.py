"""Board: a suite's leaderboard as one page, one JSON and one Markdown file; the same records give the same bytes.

`entries` sorts records, `ranking` and `standings` score them, `board_json` says it in numbers, `rows` and `details` in
words, `pictures` draws, `site` writes. Records may come from strangers: nothing in them is imported, unpickled
or fetched.
"""
