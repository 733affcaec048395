/// Says which package brings what is missing, before the compiler says that a file is.
#ifndef DSTACK_CSQLITE_REQUIREMENTS_H
#define DSTACK_CSQLITE_REQUIREMENTS_H

#if !__has_include(<sqlite3.h>)
#error "the headers of SQLite are missing: install the Debian package libsqlite3-dev, or run Scripts/setup, which installs all that are needed"
#endif

#endif
