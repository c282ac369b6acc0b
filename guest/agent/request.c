#define _GNU_SOURCE
#include "request.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "protocol.h"

enum { ARGUMENT_MAX = 128 << 10 }; /* MAX_ARG_STRLEN in the kernel's include/uapi/linux/binfmts.h, the end included */

static char **base;

struct field {
  uint8_t tag;
  uint32_t length;
  char *text;
};

static bool next_field(uint8_t *body, size_t size, size_t *at, struct field *field);
static int fill(uint8_t *body, size_t size, struct request *request);
static int shell(struct request *request, struct field *text);
static int script_of(const char *text, size_t length);
static void add_variable(char **env, char *variable);

void request_environment(char **env) { base = env; }

int request_parse(uint8_t *body, size_t size, struct request *request) {
  *request = (struct request){.script = -1};
  if (size < 8) return EINVAL;
  request->stdout_window = get_u32(body);
  request->stderr_window = get_u32(body + 4);
  size_t arguments = 0, variables = 0, at = 8;
  for (struct field field; at < size;) {
    if (!next_field(body, size, &at, &field)) return EINVAL;
    arguments += field.tag == FIELD_ARG;
    variables += field.tag == FIELD_ENV;
  }
  while (base[variables]) variables++; /* Too many rather than too few: some have the same name. */
  size_t inherited = 0;
  while (base[inherited]) inherited++;
  request->argv = calloc(arguments + 4, sizeof *request->argv);
  request->env = calloc(variables + inherited + 1, sizeof *request->env);
  if (!request->argv || !request->env) return ENOMEM;
  memcpy(request->env, base, inherited * sizeof *base);
  return fill(body, size, request);
}

static int fill(uint8_t *body, size_t size, struct request *request) {
  size_t at = 8, arguments = 0;
  struct field text = {0};
  for (struct field field; at < size;) {
    next_field(body, size, &at, &field);
    if (field.tag == FIELD_ARG) request->argv[arguments++] = field.text;
    else if (field.tag == FIELD_ENV) add_variable(request->env, field.text);
    else if (field.tag == FIELD_CWD) request->cwd = field.text;
    else text = field;
  }
  if ((text.text != NULL) == (arguments > 0)) return EINVAL; /* One of the two. */
  return text.text ? shell(request, &text) : 0;
}

/* A field is `u8 tag, u32 length, bytes, 0`: the end is there so that the bytes can be used where they are. */
static bool next_field(uint8_t *body, size_t size, size_t *at, struct field *field) {
  if (size - *at < 6) return false;
  field->tag = body[*at];
  field->length = get_u32(body + *at + 1);
  if (field->length > size - *at - 6) return false;
  field->text = (char *)body + *at + 5;
  *at += 6 + (size_t)field->length;
  if (memchr(field->text, 0, (size_t)field->length + 1) != field->text + field->length) return false;
  if (field->tag == FIELD_ENV) return field->text[0] != '=' && strchr(field->text, '=') != NULL;
  return field->tag == FIELD_ARG || field->tag == FIELD_SHELL || field->tag == FIELD_CWD;
}

static int shell(struct request *request, struct field *text) {
  static char sh[] = "/bin/sh", c[] = "-c";
  request->argv[0] = sh;
  if (text->length < ARGUMENT_MAX) {
    request->argv[1] = c;
    request->argv[2] = text->text;
    return 0;
  }
  request->script = script_of(text->text, text->length);
  if (request->script < 0) return errno;
  /* By our own descriptor, so that neither the shell nor what it starts inherits one. */
  static char path[48];
  snprintf(path, sizeof path, "/proc/%d/fd/%d", (int)getpid(), request->script);
  request->argv[1] = path;
  return 0;
}

static int script_of(const char *text, size_t length) {
  int fd = memfd_create("script", MFD_CLOEXEC);
  while (fd >= 0 && length > 0) {
    ssize_t count = write(fd, text, length);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) {
      int fault = count < 0 ? errno : ENOSPC;
      close(fd);
      errno = fault;
      return -1;
    }
    text += count;
    length -= (size_t)count;
  }
  return fd;
}

static void add_variable(char **env, char *variable) {
  size_t name = (size_t)(strchr(variable, '=') - variable) + 1;
  while (*env && strncmp(*env, variable, name) != 0) env++;
  *env = variable;
}

void request_free(struct request *request) {
  free(request->argv);
  free(request->env);
  if (request->script >= 0) close(request->script);
}
