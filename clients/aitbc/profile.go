package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v3"
)

const defaultProfile = "default"

// profile is the settings for one network.
type profile struct {
	URL    string `yaml:"url,omitempty" json:"url,omitempty"`
	APIKey string `yaml:"api_key,omitempty" json:"-"`
	Ledger string `yaml:"ledger,omitempty" json:"ledger,omitempty"`
}

// profiles is the configuration file. It holds keys, so that nobody else may read it.
type profiles struct {
	// Current is the profile of commands that name none.
	Current  string             `yaml:"current,omitempty"`
	Profiles map[string]profile `yaml:"profiles,omitempty"`
}

// profileFile gives where the file is.
func (a *app) profileFile() (string, error) {
	if path := a.getenv("AITBC_CONFIG"); path != "" {
		return path, nil
	}
	if folder := a.getenv("XDG_CONFIG_HOME"); folder != "" {
		return filepath.Join(folder, "aitbc", "config.yaml"), nil
	}
	home := a.getenv("HOME")
	if home == "" {
		return "", errors.New("neither AITBC_CONFIG nor HOME is set: there is no place for a configuration file")
	}
	return filepath.Join(home, ".config", "aitbc", "config.yaml"), nil
}

// readProfiles reads the file; one that is not there is empty.
func (a *app) readProfiles() (profiles, error) {
	p := profiles{Profiles: map[string]profile{}}
	path, err := a.profileFile()
	if err != nil {
		return p, nil //nolint:nilerr // without a place for a file there is none
	}
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return p, nil
	}
	if err != nil {
		return p, fmt.Errorf("read the configuration: %w", err)
	}
	if err := yaml.Unmarshal(text, &p); err != nil {
		return p, usageError{fmt.Errorf("configuration %s: %w", path, err)}
	}
	if p.Profiles == nil {
		p.Profiles = map[string]profile{}
	}
	return p, nil
}

// writeProfiles replaces the file as a whole.
func (a *app) writeProfiles(p profiles) (path string, err error) {
	if path, err = a.profileFile(); err != nil {
		return "", err
	}
	text, err := yaml.Marshal(p)
	if err != nil {
		return "", fmt.Errorf("write the configuration: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return "", fmt.Errorf("write the configuration: %w", err)
	}
	file, err := os.CreateTemp(filepath.Dir(path), ".config-*") // mode 0600
	if err != nil {
		return "", fmt.Errorf("write the configuration: %w", err)
	}
	defer os.Remove(file.Name())
	_, err = file.Write(text)
	if err = errors.Join(err, file.Sync(), file.Close()); err == nil {
		err = os.Rename(file.Name(), path)
	}
	if err != nil {
		return "", fmt.Errorf("write the configuration: %w", err)
	}
	return path, nil
}

// name gives the profile to use: the flag's, the environment's, the file's.
func (a *app) profileName(p profiles) string {
	return firstSet(a.profile, a.getenv("AITBC_PROFILE"), p.Current, defaultProfile)
}

// settle fills what neither flag nor environment says from the profile, and the rest by default.
func (a *app) settle(flags interface{ Changed(string) bool }) error {
	all, err := a.readProfiles()
	if err != nil {
		return err
	}
	name := a.profileName(all)
	chosen, ok := all.Profiles[name]
	if !ok && name != defaultProfile {
		return usageError{fmt.Errorf("there is no profile %q: aitbc login --profile %s makes it", name, name)}
	}
	set := func(value *string, flag string, others ...string) {
		if !flags.Changed(flag) {
			*value = firstSet(others...)
		}
	}
	set(&a.url, "url", a.getenv("AITBC_URL"), chosen.URL, defaultURL)
	set(&a.apiKey, "api-key", a.getenv("AITBC_API_KEY"), a.getenv("CLIENT_KEY"), chosen.APIKey)
	set(&a.ledger, "ledger", a.getenv("AITBC_LEDGER"), chosen.Ledger, defaultLedger)
	return nil
}

func newProfile(a *app) *cobra.Command {
	list := &cobra.Command{
		Use: "list", Short: "List the profiles; a star marks the current one", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			all, err := a.readProfiles()
			if err != nil {
				return err
			}
			a.started = true
			return a.printProfiles(all)
		},
	}
	use := &cobra.Command{
		Use: "use NAME", Short: "Make a profile the current one", Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			all, err := a.readProfiles()
			if err != nil {
				return err
			}
			if _, ok := all.Profiles[args[0]]; !ok {
				return usageError{fmt.Errorf("there is no profile %q; there are: %v", args[0], sortedNames(all))}
			}
			a.started = true
			all.Current = args[0]
			_, err = a.writeProfiles(all)
			return err
		},
	}
	return group("profile", "Choose between networks", list, use)
}

func sortedNames(all profiles) []string {
	names := make([]string, 0, len(all.Profiles))
	for name := range all.Profiles {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

func (a *app) printProfiles(all profiles) error {
	current := a.profileName(all)
	return a.print(map[string]any{"current": current, "profiles": all.Profiles}, func(p *printer) {
		p.row("", "PROFILE", "URL", "LEDGER")
		for _, name := range sortedNames(all) {
			mark := ""
			if name == current {
				mark = "*"
			}
			p.row(mark, name, all.Profiles[name].URL, all.Profiles[name].Ledger)
		}
	})
}
