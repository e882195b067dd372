package qdrant

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	pb "github.com/qdrant/go-client/qdrant"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/vector"
)

// classify makes an *event.Error of a request's error. When the caller's own
// context has ended, that is the reason and passes through.
func classify(ctx context.Context, doing string, err error) error {
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return fmt.Errorf("%s: %w", doing, ctx.Err())
	}
	out := &event.Error{Class: event.ClassInternal, Message: doing + ": " + err.Error(), Err: err}
	var limited *pb.QdrantResourceExhaustedError
	if errors.As(err, &limited) {
		out.Class = event.ClassThrottled
		out.RetryAfter = time.Duration(limited.RetryAfterS) * time.Second
		return out
	}
	st, _ := status.FromError(err)
	out.Class, out.Hint = classOf(st.Code(), st.Message())
	if st.Code() == codes.InvalidArgument && strings.Contains(st.Message(), "dimension error") {
		out.Err = errors.Join(vector.ErrDimension, err)
	}
	return out
}

// classOf maps a gRPC code, and says what to do about it.
func classOf(code codes.Code, message string) (event.Class, string) {
	switch code {
	case codes.Unavailable, codes.DeadlineExceeded, codes.Aborted, codes.Canceled: // Canceled by the server, as it stops
		return event.ClassUnavailable, "check that Qdrant runs and that the configured address is its gRPC port (6334)"
	case codes.ResourceExhausted:
		if strings.Contains(message, "larger than max") {
			return event.ClassTooLarge, "send smaller batches or ask for fewer results"
		}
		return event.ClassThrottled, ""
	case codes.NotFound:
		return event.ClassInvalid, "create the index with Ensure first"
	case codes.InvalidArgument, codes.FailedPrecondition, codes.AlreadyExists, codes.OutOfRange:
		return event.ClassInvalid, ""
	case codes.Unauthenticated, codes.PermissionDenied:
		return event.ClassAuth, "check the Qdrant API key"
	case codes.Unimplemented:
		return event.ClassInvalid, "use Qdrant 1.17 or newer"
	}
	return event.ClassInternal, ""
}

// isMissing reports whether a request failed because the collection is not there.
func isMissing(err error) bool { return status.Code(err) == codes.NotFound }

// dimensionError is the answer to a vector, or an index, of the wrong length.
func dimensionError(field string, got, want int) error {
	return &event.Error{
		Class: event.ClassInvalid, Field: field, Err: vector.ErrDimension,
		Message: fmt.Sprintf("vector dimension mismatch: %d, want %d", got, want),
		Hint:    "the embedding model and the index disagree; use the index's model, or a new index name for the new model",
	}
}
