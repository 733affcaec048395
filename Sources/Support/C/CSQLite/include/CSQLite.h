/// SQLite, and of its variadic functions and macros what a store needs.
#ifndef DSTACK_CSQLITE_H
#define DSTACK_CSQLITE_H

#include "CSQLiteRequirements.h"
#include <sqlite3.h>

/// Nothing that a damaged or hostile file says is run (no functions of its schema, no writing to its schema).
/// SQLITE_OK or an error.
int dstack_sqlite_harden(sqlite3 *database);

/// Binds a copy of bytes; none are an empty blob, not NULL.
int dstack_sqlite_bind_blob(sqlite3_stmt *statement, int position, const void *bytes, int count);

/// Binds a copy of a UTF-8 text.
int dstack_sqlite_bind_text(sqlite3_stmt *statement, int position, const char *text, int count);

#endif
