"""Examples for words of toy-grammar: pairs that were rated by rule and by nobody, and analogies of its forms.

A pair is rated 4 for one word in two numbers, 3 for one part of speech and one topic, 2 for one part of speech and two
topics, 1 for two parts of speech and one topic, 0 for nothing in common.
"""

PAIRS = """
clerk clerks 4
client clients 4
otter otters 4
gardener gardeners 4
loan loans 4
tree trees 4
pays pay 4
owes owe 4
waters water 4
retires retire 4
grows grow 4
clerk client 3
clerks clients 3
otter gardener 3
otters gardeners 3
loan bill 3
loans bills 3
road house 3
hill road 3
pays owes 3
pay owe 3
retires saves 3
grow sleep 3
old small 3
quiet busy 3
near behind 3
early late 3
clerk otter 2
clients gardeners 2
loan tree 2
pays waters 2
owe water 2
saves grows 2
clerk pays 1
loan owe 1
otter grows 1
tree waters 1
clerk near 0
loan early 0
old pays 0
some retire 0
behind quiet 0
late otters 0
"""

QUESTIONS = """
: money-nature
clerk client otter gardener
pays owes waters plants
: gram1-plural-subjects
clerk clerks client clients
clerk clerks otter otters
client clients gardener gardeners
otter otters gardener gardeners
client clients otter otters
clerk clerks gardener gardeners
: gram2-plural-objects
loan loans bill bills
loan loans tree trees
bill bills tree trees
: gram3-agreement
pays pay owes owe
pays pay waters water
owes owe waters water
retires retire saves save
grows grow sleeps sleep
retires retire grows grow
saves save sleeps sleep
"""
