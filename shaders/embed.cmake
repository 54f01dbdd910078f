# IN.spv -> OUT.h: a static const uint32_t array called NAME.
file(READ ${IN} hex HEX)
string(REGEX REPLACE "(..)(..)(..)(..)" "0x\\4\\3\\2\\1," words "${hex}")
string(REGEX REPLACE "((0x[0-9a-f]+,){12})" "\\1\n" words "${words}")
file(WRITE ${OUT} "static const uint32_t ${NAME}[] = {\n${words}\n};\n")
