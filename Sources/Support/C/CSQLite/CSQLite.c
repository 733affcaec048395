#include "CSQLite.h"

#include <stddef.h>

int dstack_sqlite_harden(sqlite3 *database) {
    int code = sqlite3_db_config(database, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    if (code != SQLITE_OK) return code;
    return sqlite3_db_config(database, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
}

int dstack_sqlite_bind_blob(sqlite3_stmt *statement, int position, const void *bytes, int count) {
    return sqlite3_bind_blob(statement, position, count > 0 ? bytes : "", count, SQLITE_TRANSIENT);
}

int dstack_sqlite_bind_text(sqlite3_stmt *statement, int position, const char *text, int count) {
    return sqlite3_bind_text(statement, position, text, count, SQLITE_TRANSIENT);
}
