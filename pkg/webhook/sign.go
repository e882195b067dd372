package webhook

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/weir-dev/weir/pkg/event"
)

// The headers of Standard Webhooks.
const (
	HeaderID        = "Webhook-Id"
	HeaderTimestamp = "Webhook-Timestamp"
	HeaderSignature = "Webhook-Signature"
)

const (
	secretPrefix    = "whsec_"
	signaturePrefix = "v1,"
	// secretBytes is the size of a new secret; one may have from min to max.
	secretBytes, minSecretBytes, maxSecretBytes = 32, 24, 64
	// Tolerance is how far the time of a request may be from now: what is older may be
	// somebody's repetition.
	Tolerance = 5 * time.Minute
)

// NewSecret returns a new random secret.
func NewSecret() string {
	var key [secretBytes]byte
	rand.Read(key[:]) // never fails since Go 1.24
	return secretPrefix + base64.StdEncoding.EncodeToString(key[:])
}

// key is what a secret stands for. Errors don't show it.
func key(secret string) ([]byte, error) {
	text, ok := strings.CutPrefix(secret, secretPrefix)
	data, err := base64.StdEncoding.DecodeString(text)
	if !ok || err != nil || len(data) < minSecretBytes || len(data) > maxSecretBytes {
		return nil, event.Invalid("webhooks.secrets", "write whsec_ and the base64 of 24 to 64 random bytes", "not a secret of webhooks")
	}
	return data, nil
}

// Sign sets the headers of a request: its id, the time, and a signature by each of
// the secrets, of which a receiver needs to know one.
func Sign(header http.Header, id string, at time.Time, body []byte, secrets ...string) error {
	if len(secrets) == 0 {
		return event.Invalid("webhooks.secrets", "add a secret to the tenant's entry", "the tenant has none, and nothing is sent unsigned")
	}
	seconds := strconv.FormatInt(at.Unix(), 10)
	signatures := make([]string, len(secrets))
	for i, secret := range secrets {
		k, err := key(secret)
		if err != nil {
			return err
		}
		signatures[i] = signaturePrefix + base64.StdEncoding.EncodeToString(sum(k, id, seconds, body))
	}
	header.Set(HeaderID, id)
	header.Set(HeaderTimestamp, seconds)
	header.Set(HeaderSignature, strings.Join(signatures, " "))
	return nil
}

func sum(key []byte, id, seconds string, body []byte) []byte {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(id + "." + seconds + "."))
	mac.Write(body)
	return mac.Sum(nil)
}

// Verify checks a request that was received: that it was signed with one of the
// secrets, and lately. It is for receivers written in Go; there are libraries for
// other languages.
func Verify(header http.Header, body []byte, now time.Time, secrets ...string) error {
	id, seconds := header.Get(HeaderID), header.Get(HeaderTimestamp)
	unix, err := strconv.ParseInt(seconds, 10, 64)
	if id == "" || err != nil {
		return event.Invalid(HeaderTimestamp, "take requests of Standard Webhooks only", "it has no id or no time")
	}
	if off := now.Sub(time.Unix(unix, 0)).Abs(); off > Tolerance {
		return event.Invalid(HeaderTimestamp, "check the clock", "%s from now", off)
	}
	for _, secret := range secrets {
		k, err := key(secret)
		if err != nil {
			return err
		}
		if signedBy(k, id, seconds, header.Get(HeaderSignature), body) {
			return nil
		}
	}
	return event.Invalid(HeaderSignature, "check the secret", "none of the signatures is by a known secret")
}

func signedBy(key []byte, id, seconds, signatures string, body []byte) bool {
	want := sum(key, id, seconds, body)
	for signature := range strings.FieldsSeq(signatures) {
		text, ok := strings.CutPrefix(signature, signaturePrefix)
		got, err := base64.StdEncoding.DecodeString(text)
		if ok && err == nil && hmac.Equal(got, want) {
			return true
		}
	}
	return false
}
