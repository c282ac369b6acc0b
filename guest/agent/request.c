#define _GNU_SOURCE
#include "request.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "protocol.h"
#include "script.h"

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
static int script(struct request *request, struct field *text, char **arguments, size_t count);
static int terminal(struct request *request, const char *text);
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
  request->argv = calloc(arguments + SCRIPT_WORDS + 1, sizeof *request->argv);
  request->env = calloc(variables + inherited + 1, sizeof *request->env);
  if (!request->argv || !request->env) return ENOMEM;
  memcpy(request->env, base, inherited * sizeof *base);
  return fill(body, size, request);
}

static int fill(uint8_t *body, size_t size, struct request *request) {
  size_t at = 8, arguments = 0;
  struct field text = {0};
  const char *size_text = NULL;
  for (struct field field; at < size;) {
    next_field(body, size, &at, &field);
    if (field.tag == FIELD_ARG) request->argv[arguments++] = field.text;
    else if (field.tag == FIELD_ENV) add_variable(request->env, field.text);
    else if (field.tag == FIELD_CWD) request->cwd = field.text;
    else if (field.tag == FIELD_TERMINAL) size_text = field.text;
    else text = field;
  }
  if (size_text && terminal(request, size_text) != 0) return EINVAL;
  if (text.tag == FIELD_SCRIPT) return script(request, &text, request->argv, arguments);
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
  return field->tag != 0 && memchr("asdpt", field->tag, 5) != NULL;
}

static int shell(struct request *request, struct field *text) {
  static char sh[] = "/bin/sh", c[] = "-c";
  if (text->length >= ARGUMENT_MAX) return script(request, text, request->argv, 0);
  request->argv[0] = sh;
  request->argv[1] = c;
  request->argv[2] = text->text;
  return 0;
}

/* Shell text is the shell's, whatever its first line says. */
static int script(struct request *request, struct field *text, char **arguments, size_t count) {
  static char plain[] = "";
  char *words[SCRIPT_WORDS];
  request->script = script_open(text->text, text->length);
  if (request->script < 0) return errno;
  size_t before = script_words(text->tag == FIELD_SHELL ? plain : text->text, request->script, words);
  if (before == 0) return ENOEXEC;
  memmove(request->argv + before, arguments, count * sizeof *arguments);
  memcpy(request->argv, words, before * sizeof *words);
  return 0;
}

/* `COLUMNS ROWS` */
static int terminal(struct request *request, const char *text) {
  char *end;
  unsigned long columns = strtoul(text, &end, 10), rows = *end == ' ' ? strtoul(end + 1, &end, 10) : 0;
  if (*end || columns < 1 || columns > UINT16_MAX || rows < 1 || rows > UINT16_MAX) return EINVAL;
  request->columns = (uint16_t)columns;
  request->rows = (uint16_t)rows;
  return 0;
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
