# Every module the library embeds, one line each; families once per weight format.
