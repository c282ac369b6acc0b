/* How the agent was started: where its host is, and by what it is known. */
#pragma once

enum door { DOOR_PORT, DOOR_FD, DOOR_STDIO, DOOR_LISTEN_FD, DOOR_UNIX, DOOR_TCP };

struct arguments {
  enum door door;
  const char *where;    /* of the port, the socket, or the number of the descriptor */
  const char *key_file; /* NULL: the first host brings the key */
  const char *run_dir;  /* where that is kept; NULL: in memory alone */
};

/* Ends the agent with its usage if it was started in no way we know. */
struct arguments arguments_read(int argc, char **argv);
