/* Calls on a listening socket. Whoever has not proved itself yet disturbs nobody: it takes a place among the callers, and the wire only once it is proven. */
#pragma once

/* Sockets to listen on, or the end of the agent: at a path; or at `[ADDRESS:]PORT` of TCP. */
int callers_socket(const char *path);
int callers_tcp(const char *where);

/* Takes calls from now on. `ended` hears when the stream of a proven one is over. */
void callers_hear(int listener, void (*ended)(void));
