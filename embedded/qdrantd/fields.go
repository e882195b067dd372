package qdrantd

import (
	"context"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// fieldPolicy lists, per message, the fields the server understands. A request
// that sets any other field is refused with the field's path, and so is one
// whose message is not listed at all. Thus a field that a newer client sends
// can never be silently ignored.
type fieldPolicy map[protoreflect.Name]map[protoreflect.Name]bool

// opaque marks a message whose content is stored as it is.
const opaque = "*"

// newFieldPolicy builds the list. Fields without effect are described at Server.
func newFieldPolicy() fieldPolicy {
	p := fieldPolicy{}
	p.allowCollections()
	p.allowWrites()
	p.allowReads()
	p.allowFilters()
	p.allowSnapshots()
	return p
}

// allow adds fields (space separated) of a message.
func (p fieldPolicy) allow(message protoreflect.Name, fields string) {
	set := map[protoreflect.Name]bool{}
	for _, f := range strings.Fields(fields) {
		set[protoreflect.Name(f)] = true
	}
	p[message] = set
}

func (p fieldPolicy) allowCollections() {
	p.allow("HealthCheckRequest", "")
	p.allow("CreateCollection", "collection_name hnsw_config wal_config optimizers_config shard_number on_disk_payload timeout vectors_config "+
		"replication_factor write_consistency_factor quantization_config sparse_vectors_config metadata")
	p.allow("VectorsConfig", "params params_map")
	p.allow("VectorParamsMap", "map")
	p.allow("VectorParams", "size distance hnsw_config quantization_config on_disk datatype")
	p.allow("SparseVectorConfig", "map")
	p.allow("SparseVectorParams", "index modifier")
	p.allow("SparseIndexConfig", "full_scan_threshold on_disk datatype")
	for _, tuning := range []protoreflect.Name{"HnswConfigDiff", "WalConfigDiff", "OptimizersConfigDiff", "QuantizationConfig"} {
		p.allow(tuning, opaque)
	}
	p.allow("GetCollectionInfoRequest", "collection_name")
	p.allow("ListCollectionsRequest", "")
	p.allow("DeleteCollection", "collection_name timeout")
	p.allow("CollectionExistsRequest", "collection_name")
	p.allow("ChangeAliases", "actions timeout")
	p.allow("AliasOperations", "create_alias rename_alias delete_alias")
	p.allow("CreateAlias", "collection_name alias_name")
	p.allow("RenameAlias", "old_alias_name new_alias_name")
	p.allow("DeleteAlias", "alias_name")
	p.allow("ListAliasesRequest", "")
	p.allow("ListCollectionAliasesRequest", "collection_name")
}

func (p fieldPolicy) allowSnapshots() {
	p.allow("CreateSnapshotRequest", "collection_name")
	p.allow("ListSnapshotsRequest", "collection_name")
	p.allow("DeleteSnapshotRequest", "collection_name snapshot_name")
}

func (p fieldPolicy) allowWrites() {
	p.allow("UpsertPoints", "collection_name wait points ordering update_filter timeout update_mode")
	p.allow("PointStruct", "id payload vectors")
	p.allow("PointId", "num uuid")
	p.allow("Vectors", "vector vectors")
	p.allow("NamedVectors", "vectors")
	p.allow("Vector", "data indices dense sparse")
	p.allow("DenseVector", "data")
	p.allow("SparseVector", "values indices")
	p.allow("SparseIndices", "data")
	p.allow("Value", opaque)
	p.allow("WriteOrdering", opaque)
	p.allow("ReadConsistency", opaque)
	p.allow("DeletePoints", "collection_name wait points ordering timeout")
	p.allow("PointsSelector", "points filter")
	p.allow("PointsIdsList", "ids")
	p.allow("SetPayloadPoints", "collection_name wait payload points_selector ordering timeout")
	p.allow("DeletePayloadPoints", "collection_name wait keys points_selector ordering timeout")
	p.allow("ClearPayloadPoints", "collection_name wait points ordering timeout")
	p.allow("CreateFieldIndexCollection", "collection_name wait field_name field_type field_index_params ordering timeout")
	p.allow("DeleteFieldIndexCollection", "collection_name wait field_name ordering timeout")
	p.allow("PayloadIndexParams", "keyword_index_params integer_index_params float_index_params bool_index_params datetime_index_params uuid_index_params")
	for _, tuning := range []protoreflect.Name{"KeywordIndexParams", "IntegerIndexParams", "FloatIndexParams", "BoolIndexParams", "DatetimeIndexParams", "UuidIndexParams"} {
		p.allow(tuning, "is_tenant is_principal on_disk enable_hnsw lookup range")
	}
}

func (p fieldPolicy) allowReads() {
	p.allow("GetPoints", "collection_name ids with_payload with_vectors read_consistency timeout")
	p.allow("WithPayloadSelector", "enable include exclude")
	p.allow("PayloadIncludeSelector", "fields")
	p.allow("PayloadExcludeSelector", "fields")
	p.allow("WithVectorsSelector", "enable include")
	p.allow("VectorsSelector", "names")
	p.allow("ScrollPoints", "collection_name filter offset order_by limit with_payload with_vectors read_consistency timeout")
	p.allow("CountPoints", "collection_name filter exact read_consistency timeout")
	p.allow("QueryPoints", "collection_name prefetch query using filter params score_threshold limit offset with_vectors with_payload read_consistency timeout")
	p.allow("PrefetchQuery", "prefetch query using filter params score_threshold limit")
	p.allow("QueryBatchPoints", "collection_name query_points read_consistency timeout")
	p.allow("QueryPointGroups", "collection_name prefetch query using filter params score_threshold with_payload with_vectors limit group_size group_by "+
		"read_consistency timeout")
	p.allow("Query", "nearest nearest_with_mmr order_by fusion rrf")
	p.allow("NearestInputWithMmr", "nearest mmr")
	p.allow("Mmr", "diversity candidates_limit")
	p.allow("OrderBy", "key direction start_from")
	p.allow("StartFrom", "float integer timestamp datetime")
	p.allow("FacetCounts", "collection_name key filter limit exact read_consistency timeout")
	p.allow("VectorInput", "id dense sparse")
	p.allow("Rrf", "k weights")
	p.allow("SearchParams", "hnsw_ef exact quantization indexed_only acorn")
	p.allow("QuantizationSearchParams", opaque)
	p.allow("AcornSearchParams", opaque)
}

func (p fieldPolicy) allowFilters() {
	p.allow("Filter", "should must must_not min_should")
	p.allow("MinShould", "conditions min_count")
	p.allow("Condition", "field is_empty has_id filter is_null nested")
	p.allow("FieldCondition", "key match range values_count datetime_range is_empty is_null")
	p.allow("IsEmptyCondition", "key")
	p.allow("IsNullCondition", "key")
	p.allow("HasIdCondition", "has_id")
	p.allow("NestedCondition", "key filter")
	p.allow("Match", "keyword integer boolean text keywords integers except_integers except_keywords")
	p.allow("RepeatedStrings", "strings")
	p.allow("RepeatedIntegers", "integers")
	p.allow("Range", "lt gt gte lte")
	p.allow("DatetimeRange", "lt gt gte lte")
	p.allow("ValuesCount", "lt gt gte lte")
	p.allow("Timestamp", "seconds nanos")
}

// intercept checks every request before its handler sees it.
func (p fieldPolicy) intercept(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
	msg, ok := req.(proto.Message)
	if !ok || p[msg.ProtoReflect().Descriptor().Name()] == nil {
		return nil, unsupported("rpc " + info.FullMethod)
	}
	m := msg.ProtoReflect()
	if err := p.check(m, string(m.Descriptor().Name())); err != nil {
		return nil, err
	}
	return next(ctx, req)
}

// check refuses the first field of m, or below it, that is not allowed.
func (p fieldPolicy) check(m protoreflect.Message, path string) (err error) {
	allowed := p[m.Descriptor().Name()]
	if allowed[opaque] {
		return nil
	}
	if len(m.GetUnknown()) > 0 {
		return status.Errorf(codes.InvalidArgument, "%s holds a field this server's API (Qdrant %s) does not know", path, Version)
	}
	m.Range(func(fd protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		at := path + "." + string(fd.Name())
		if !allowed[fd.Name()] {
			err = unsupported("field " + at)
			return false
		}
		err = p.checkValue(fd, v, at)
		return err == nil
	})
	return err
}

// checkValue walks into the messages a field holds.
func (p fieldPolicy) checkValue(fd protoreflect.FieldDescriptor, v protoreflect.Value, at string) (err error) {
	switch {
	case fd.IsMap():
		if fd.MapValue().Message() == nil || p[fd.MapValue().Message().Name()][opaque] {
			return nil
		}
		v.Map().Range(func(_ protoreflect.MapKey, mv protoreflect.Value) bool {
			err = p.check(mv.Message(), at)
			return err == nil
		})
	case fd.Message() == nil:
	case fd.IsList():
		for i := range v.List().Len() {
			if err := p.check(v.List().Get(i).Message(), at); err != nil {
				return err
			}
		}
	default:
		return p.check(v.Message(), at)
	}
	return err
}
