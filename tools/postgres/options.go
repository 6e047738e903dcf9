package postgres

import (
	"errors"
	"fmt"
	"maps"
	"slices"
)

// Options say what server to start. The zero value is a good one.
type Options struct {
	// Settings are server settings, such as max_connections, on top of the defaults.
	Settings map[string]string
}

// Validate reports every fault of the options.
func (o Options) Validate() error {
	var faults []error
	for _, name := range slices.Sorted(maps.Keys(o.Settings)) {
		switch name {
		case "fsync", "synchronous_commit", "full_page_writes":
			faults = append(faults, fmt.Errorf("setting %s: durability is what is tested", name))
		case "unix_socket_directories", "listen_addresses", "port":
			faults = append(faults, fmt.Errorf("setting %s: the server listens in its own folder", name))
		}
	}
	return errors.Join(faults...)
}

// arguments are the server's command line.
func (o Options) arguments(folder string) []string {
	settings := map[string]string{
		"listen_addresses": "", "unix_socket_directories": folder, "port": port,
		"fsync": "on", "synchronous_commit": "on", "full_page_writes": "on",
		"max_connections": "200", "shared_buffers": "128MB", "max_wal_size": "2GB", "log_min_messages": "warning",
	}
	maps.Copy(settings, o.Settings)
	args := []string{"-D", dataFolder(folder)}
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		args = append(args, "-c", name+"="+settings[name])
	}
	return args
}
