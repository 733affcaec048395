#pragma once

// Nothing is called from Swift: to be linked is enough.
