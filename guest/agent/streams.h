/* What a command speaks through: pipes, or a terminal of its own. */
#pragma once

#include "request.h"

struct streams {
  int theirs[3]; /* become its 0, 1 and 2 */
  int ours[3];   /* its input, its output and its errors; -1 where there is none */
};

/* 0 or an errno. What was opened is closed by `streams_close`, also after a failure. */
int streams_open(struct streams *streams, const struct request *request);
void streams_close(int ends[3]);
