/* What an EXEC asks for. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct request {
  uint32_t stdout_window, stderr_window;
  char **argv; /* NULL-terminated, and so is env */
  char **env;
  const char *cwd; /* NULL: where the agent is */
  int script;      /* text that is run from memory; -1 if there is none */
  bool no_stdin;
  uint16_t columns, rows; /* of its terminal; 0: it has none */
};

/* The environment that every command starts from; `name=value`, NULL-terminated. */
void request_environment(char **env);

/*
 * Makes a request of the body of an EXEC, which it may change and must outlive the request. The result is 0 or an errno: EINVAL if
 * the body is not one, ENOEXEC if a script names nothing to run it, ENOMEM, or what making a script failed with. `request_free` is due in any case.
 */
int request_parse(uint8_t *body, size_t size, struct request *request);
void request_free(struct request *request);
