#define _GNU_SOURCE
#include "arguments.h"

#include <getopt.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include "facts.h"
#include "say.h"

#define PORT "tt.agent"
#define RUN_DIR "/run/tt-agent"
#define TCP_PORT "22000"
#define USAGE \
  "usage: tt-agent [--port NAME | --listen [ADDRESS:]PORT | --unix PATH | --listen-fd N | --fd N | --stdio] [--key-file FILE] [--run-dir DIR]"

enum { OPTION_KEY = 1, OPTION_RUN, OPTION_VERSION };

static const struct option options[] = {{"port", required_argument, NULL, 'p'},
                                        {"fd", required_argument, NULL, 'f'},
                                        {"listen-fd", required_argument, NULL, 'l'},
                                        {"unix", required_argument, NULL, 'u'},
                                        {"stdio", no_argument, NULL, 's'},
                                        {"listen", optional_argument, NULL, 't'},
                                        {"key-file", required_argument, NULL, OPTION_KEY},
                                        {"run-dir", required_argument, NULL, OPTION_RUN},
                                        {"version", no_argument, NULL, OPTION_VERSION},
                                        {NULL, 0, NULL, 0}};

static void read_door(struct arguments *read, int option, const char *next);

struct arguments arguments_read(int argc, char **argv) {
  struct arguments read = {.door = DOOR_PORT, .where = PORT};
  if (init_process) return read; /* The kernel hands its own words to process 1. */
  for (int option; (option = getopt_long(argc, argv, "", options, NULL)) >= 0;) {
    if (option == OPTION_KEY) read.key_file = optarg;
    else if (option == OPTION_RUN) read.run_dir = optarg;
    else read_door(&read, option, optind < argc ? argv[optind] : NULL);
  }
  if (optind < argc) die(USAGE);
  if (read.door == DOOR_TCP && !read.key_file) die("--listen needs --key-file: whoever reaches this guest over the network could be the first to bring a key");
  if (read.door == DOOR_PORT && !read.run_dir) read.run_dir = RUN_DIR;
  return read;
}

static void read_door(struct arguments *read, int option, const char *next) {
  read->where = optarg;
  switch (option) {
    case 'p': read->door = DOOR_PORT; return;
    case 'f': read->door = DOOR_FD; return;
    case 's': read->door = DOOR_STDIO; return;
    case 'l': read->door = DOOR_LISTEN_FD; return;
    case 'u': read->door = DOOR_UNIX; return;
    case 't':
      read->door = DOOR_TCP;
      if (!optarg && next && next[0] != '-') {
        read->where = next;
        optind++;
      }
      if (!read->where) read->where = TCP_PORT;
      return;
    case OPTION_VERSION: puts(AGENT_VERSION); exit(0);
    default: die(USAGE);
  }
}
