// Package config reads a service's settings from the environment and shows the
// effective ones with secrets hidden.
package config

import (
	"fmt"
	"io"
	"os"
	"reflect"
	"regexp"
	"strings"

	"github.com/kelseyhightower/envconfig"
)

// Secret is a setting that is never shown.
type Secret string

// String hides the secret; use Reveal where it is needed.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return "[redacted]"
}

// Format hides the secret from every verb of fmt, %#v and wrong ones included.
func (s Secret) Format(f fmt.State, _ rune) {
	io.WriteString(f, s.String()) //nolint:errcheck // fmt's own buffer
}

// MarshalText hides the secret in JSON and text encodings.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Reveal returns the secret itself.
func (s Secret) Reveal() string { return string(s) }

// Load overrides the fields of cfg, a pointer to a struct with defaults, by the
// environment variables PREFIX_FIELD_NAME, and validates the result when cfg
// has a Validate method.
func Load(prefix string, cfg any) error {
	if err := envconfig.Process(prefix, cfg); err != nil {
		return fmt.Errorf("reading settings: %w", err)
	}
	if v, ok := cfg.(interface{ Validate() error }); ok {
		if err := v.Validate(); err != nil {
			return fmt.Errorf("checking settings: %w", err)
		}
	}
	return nil
}

// Setting is one effective setting.
type Setting struct {
	Name  string `json:"name"` // environment variable
	Value string `json:"value"`
	// Set reports whether the environment sets it.
	Set bool `json:"set"`
}

// Settings lists the fields of cfg, a struct or a pointer to one, in order,
// with secrets hidden.
func Settings(prefix string, cfg any) []Setting {
	v := reflect.Indirect(reflect.ValueOf(cfg))
	var settings []Setting
	for i := range v.NumField() {
		field := v.Type().Field(i)
		if !field.IsExported() || field.Tag.Get("ignored") == "true" {
			continue
		}
		if field.Type.Kind() == reflect.Struct {
			inner := prefix
			if !field.Anonymous { // an embedded struct's fields are cfg's own, as for envconfig
				inner = envName(prefix, field)
			}
			settings = append(settings, Settings(inner, v.Field(i).Interface())...)
			continue
		}
		name := envName(prefix, field)
		_, set := os.LookupEnv(name)
		settings = append(settings, Setting{Name: name, Value: withoutPasswords(fmt.Sprint(v.Field(i).Interface())), Set: set})
	}
	return settings
}

// userinfo is what comes before the host in addresses, or a list of them: a password, or
// a token in the place of the user.
var userinfo = regexp.MustCompile(`(^|,|://)([^/@:,\s]+)(:[^@/,\s]*)?@`)

// withoutPasswords hides what addresses have of secrets.
func withoutPasswords(text string) string {
	return userinfo.ReplaceAllStringFunc(text, func(found string) string {
		parts := userinfo.FindStringSubmatch(found)
		if parts[3] == "" {
			return parts[1] + "xxxxx@"
		}
		return parts[1] + parts[2] + ":xxxxx@"
	})
}

// envName is the variable that envconfig reads for a field.
func envName(prefix string, field reflect.StructField) string {
	name := strings.ToUpper(field.Name)
	if tag := field.Tag.Get("envconfig"); tag != "" {
		name = strings.ToUpper(tag)
	} else if field.Tag.Get("split_words") == "true" {
		name = EnvName(field.Name)
	}
	return strings.ToUpper(prefix) + "_" + name
}

// Int is a setting by the end of its variable's name.
type Int struct {
	Name  string
	Value int
}

// Positive names the first of the settings that is not 1 or more.
func Positive(prefix string, settings ...Int) error {
	for _, s := range settings {
		if s.Value < 1 {
			return fmt.Errorf("%s_%s: got %d, want at least 1", prefix, s.Name, s.Value)
		}
	}
	return nil
}

// words splits a field name as envconfig's split_words does.
var (
	words    = regexp.MustCompile(`([^A-Z]+|[A-Z]+[^A-Z]+|[A-Z]+)`)
	acronyms = regexp.MustCompile(`([A-Z]+)([A-Z][^A-Z]+)`)
)

// EnvName is the environment form of a field name: NatsURL is NATS_URL.
func EnvName(field string) string {
	var parts []string
	for _, word := range words.FindAllString(field, -1) {
		if m := acronyms.FindStringSubmatch(word); len(m) == 3 {
			parts = append(parts, m[1], m[2])
		} else {
			parts = append(parts, word)
		}
	}
	return strings.ToUpper(strings.Join(parts, "_"))
}

// Env is the value of an environment variable that a setting names, a provider's
// key say.
func Env(name string) string { return os.Getenv(name) }
