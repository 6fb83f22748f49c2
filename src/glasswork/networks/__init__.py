"""The networks: one file per paper, the blocks they share, and the catalogue that builds them by name.

Plain numbers go in (channels, classes, image size), an `nn.Module` comes out; nothing here knows of data. Only
`options` is free of torch: the command line reads it before anything is built.
"""
