// Package config gives every setting one name in three places: the flag --ledger-url, the
// environment variable AITBC_LEDGER_URL and the config file's key ledger-url.
//
// A flag on the command line wins over the environment, that over the file, that over the default. A
// command defines its flags with defaults as usual and calls Load before it reads them: what the
// command line left unset is filled from the other places, and what is wrong there is refused by
// name. The list of settings is the flag set; Reference prints it.
//
// Start reading at Load.
package config
