#ifndef DSTACK_CTOML_H
#define DSTACK_CTOML_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

// A TOML 1.0 document as a flat list of nodes, behind which stands toml++. No exception leaves these functions.

typedef enum {
    DSTACK_TOML_TABLE,
    DSTACK_TOML_ARRAY,
    DSTACK_TOML_STRING,
    DSTACK_TOML_INTEGER,
    DSTACK_TOML_NUMBER,
    DSTACK_TOML_BOOLEAN,
    // A date, a time or both; `text` is as TOML writes it.
    DSTACK_TOML_TIME,
} dstack_toml_kind;

typedef struct {
    dstack_toml_kind kind;
    // Nodes in this one's subtree, itself included: the next sibling is that many further.
    size_t extent;
    // The name under which a table has this node; NULL in arrays and for the root.
    const char *key;
    size_t key_length;
    const char *text;
    size_t text_length;
    // Also the boolean, as 0 or 1.
    int64_t integer;
    double number;
    // Both count from 1, columns in characters; 0 where unknown. Of the key, where there is one.
    uint32_t line;
    uint32_t column;
} dstack_toml_node;

typedef struct {
    uint32_t line;
    uint32_t column;
    // Cut where it does not fit, always terminated.
    char message[512];
} dstack_toml_failure;

typedef struct dstack_toml_document dstack_toml_document;

// Parses UTF-8 text, which may be NULL where it is empty. On failure the result is NULL and `failure` is filled in.
dstack_toml_document *dstack_toml_parse(const char *text, size_t length, dstack_toml_failure *failure);

// The nodes in document order, the root table first. They and their texts live as long as the document.
const dstack_toml_node *dstack_toml_nodes(const dstack_toml_document *document, size_t *count);

void dstack_toml_free(dstack_toml_document *document);

#ifdef __cplusplus
}
#endif

#endif
