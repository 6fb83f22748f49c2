"""Every mechanism of deep learning from its formula, in NumPy alone.

Written to be read: `README.md` beside this file gives an order. Nothing here imports the rest of Glasswork or a
framework, so that what is computed here can judge what is computed there. `python -m glasswork.scratch` trains LeNet on
handwritten digits by these means.
"""
