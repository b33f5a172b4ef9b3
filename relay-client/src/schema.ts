/* eslint-disable */
// Written by relay-client/generate.ts; the document says what things mean.

export interface paths {
    "/api/events/device/{deviceId}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** All readings of deviceId in a range, as one rollup */
        get: operations["getDeviceRollup"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/events/type/{deviceType}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** All readings of deviceType in a range, as one rollup */
        get: operations["getTypeRollup"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/events/zone/{zone}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** All readings of zone in a range, as one rollup */
        get: operations["getZoneRollup"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/events/zone/{zone}/type/{deviceType}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** All readings of zone and deviceType in a range, as one rollup */
        get: operations["getZoneTypeRollup"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/aggregates": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Numbers of a selection over a range
         * @description An answer without `next` has all rows. CSV has no place for that: there answers are whole, or refused.
         */
        get: operations["getAggregates"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/compare": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** A range beside the one before it, or the same weekday */
        get: operations["compareRanges"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/devices": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Devices that have ever sent something, by id */
        get: operations["listDevices"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/devices/{device}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** One device, and every zone and type that it has sent from */
        get: operations["getDevice"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/devices/{device}/latest": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** The newest reading of a device */
        get: operations["getLatestReading"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/distribution": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** A histogram of the values of a selection over a range */
        get: operations["getDistribution"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/events": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Send events
         * @description An array of events, or one event, as JSON; or one a line (`application/x-ndjson`); also gzipped. An answer with `accepted` comes when those are durable: sent once more, they count once. Under an `Idempotency-Key` the same body has the same answer, and is not sent to the event log again.
         */
        post: operations["sendEvents"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/keys": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** All keys, without their secrets */
        get: operations["listKeys"];
        put?: never;
        /** Makes a key */
        post: operations["createKey"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/keys/{id}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        post?: never;
        /** Ends a key, within seconds, everywhere */
        delete: operations["revokeKey"];
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/keys/{id}/rotate": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** Gives a key a new secret */
        post: operations["rotateKey"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/stream": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Rollups of a selection as they change
         * @description Server-sent events: `rollup` is a bucket as it is now, `changed` a range in which more has changed than is told, `reset` says that what has changed since Last-Event-ID is not known any more. `open` says that all changes from now on will be told, `heartbeat` that there are none, `end` why the stream ends. A client that comes back with the id of the last event that it has (Last-Event-ID) misses nothing; it may be told something twice.
         */
        get: operations["streamRollups"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/top": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** The highest or lowest of a number over a range */
        get: operations["getTop"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/types": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Device types, with how many devices in which zones */
        get: operations["listTypes"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/zones": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Zones, with how many devices of which types */
        get: operations["listZones"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
}
export type webhooks = Record<string, never>;
export interface components {
    schemas: {
        /** @description and a member for each of `stats`; any percentile, such as `p99.9`, and `p99.9Error` are numbers or null */
        AggregateRow: {
            /** Format: double */
            avg?: number | null;
            /** @description and before this one */
            bucketEnd: string;
            /** @description on the clock of `tz`; readings from this time on */
            bucketStart: string;
            /** Format: int64 */
            count?: number;
            device?: string;
            /** @description there were no readings */
            filled?: boolean;
            /** Format: double */
            first?: number | null;
            /** @description on the clock of `tz` */
            firstTime?: string | null;
            /** Format: double */
            increase?: number | null;
            /** Format: double */
            last?: number | null;
            /** @description on the clock of `tz` */
            lastTime?: string | null;
            /** Format: double */
            max?: number | null;
            /** Format: double */
            median?: number | null;
            /** Format: double */
            medianError?: number | null;
            /** Format: double */
            min?: number | null;
            /** Format: double */
            rate?: number | null;
            /**
             * @description final: everything up to its end has been read; revised: and readings that came after that have changed it
             * @enum {string}
             */
            status: "final" | "provisional" | "revised";
            /** Format: double */
            stddev?: number | null;
            /** Format: double */
            sum?: number | null;
            /** Format: double */
            timeWeightedAvg?: number | null;
            type?: string;
            /** @description by statistic: why it is null */
            unavailable?: {
                [key: string]: string;
            };
            zone?: string;
        } & {
            [key: string]: unknown;
        };
        Aggregates: {
            /** @description every partition has been read up to this event time, or to the end of the range; null: not known */
            completeThrough: string | null;
            /**
             * Format: int64
             * @description and resends, which are not counted again
             */
            duplicateReadings: number;
            end: string;
            /** @description the one that was taken, for `auto` */
            interval: string;
            /**
             * Format: int64
             * @description of the selection, in the hours of the range: readings whose minute had been read to its end when they came
             */
            lateReadings: number;
            /** @description where there are more rows: `cursor` of the next answer */
            next: string | null;
            /** @description by group, and in it by time */
            rows: components["schemas"]["AggregateRow"][];
            /** @description of all rows, in `tz`: the one asked for, unless what is kept is coarser */
            start: string;
            tz: string;
        };
        ApiKey: {
            /** Format: date-time */
            createdAt: string;
            createdBy: string;
            /** @description null: all */
            devicePrefixes: string[] | null;
            /**
             * Format: date-time
             * @description null: never
             */
            expiresAt: string | null;
            /**
             * Format: date-time
             * @description until when the secret before the last rotation works; null: it does not
             */
            formerSecretUntil: string | null;
            id: string;
            /**
             * Format: date-time
             * @description to the minute; null: never
             */
            lastUsedAt: string | null;
            name: string;
            /**
             * Format: date-time
             * @description null: it works
             */
            revokedAt: string | null;
            scopes: ("events:read" | "events:write" | "admin")[];
            /** @description null: all */
            zones: string[] | null;
        };
        ApiKeyList: {
            keys: components["schemas"]["ApiKey"][];
        };
        ApiKeyRequest: {
            /** @description beginnings of ids of devices that it is about; left out: all */
            devicePrefixes?: string[];
            /** @description ISO-8601 with an offset; left out: never */
            expiresAt?: string;
            /** @description what it is for, for people */
            name: string;
            /** @description what it may do */
            scopes: ("events:read" | "events:write" | "admin")[];
            /** @description zones that it is about; left out: all */
            zones?: string[];
        };
        ApiKeyRotation: {
            /**
             * Format: int32
             * @description for how long the former secret works as well
             * @default 3600
             */
            overlapSeconds?: number;
        };
        ComparedStatistic: {
            /**
             * Format: double
             * @description the same of the earlier range
             */
            againstError?: number | null;
            /**
             * Format: double
             * @description of the earlier one
             */
            againstValue: number | null;
            /**
             * Format: double
             * @description value - againstValue, of the numbers as they are shown
             */
            change: number | null;
            /**
             * Format: double
             * @description of a percentile: the true one is within value ± error; null: not bounded
             */
            error?: number | null;
            /**
             * Format: double
             * @description (value - againstValue) / |againstValue|: 0.1 is a tenth more; null where that is 0
             */
            relativeChange: number | null;
            stat: string;
            /**
             * Format: double
             * @description of the range; null: there is none
             */
            value: number | null;
        };
        Comparison: {
            against: components["schemas"]["TimeRange"];
            range: components["schemas"]["TimeRange"];
            /** @description in the order of `stats` */
            stats: components["schemas"]["ComparedStatistic"][];
        };
        /** @description the range asked for, but where what was kept is coarser or does not go back so far */
        Coverage: {
            /**
             * Format: date-time
             * @description and before this one
             */
            end: string;
            /**
             * Format: date-time
             * @description the numbers are of readings from this time on, in UTC
             */
            start: string;
        };
        /** @description zone, type and lastValue are those of the newest reading */
        Device: {
            device: string;
            /**
             * Format: date-time
             * @description of the first reading that is kept
             */
            firstSeen: string;
            /**
             * Format: date-time
             * @description of the newest reading
             */
            lastSeen: string;
            /**
             * Format: double
             * @description of the newest reading; of several at that time, the greatest
             */
            lastValue: number;
            type: string;
            zone: string;
        };
        DeviceDetails: {
            device: string;
            /**
             * Format: date-time
             * @description of the first reading that is kept
             */
            firstSeen: string;
            /**
             * Format: date-time
             * @description of the newest reading
             */
            lastSeen: string;
            /**
             * Format: double
             * @description of the newest reading; of several at that time, the greatest
             */
            lastValue: number;
            /** @description the one with the newest reading first */
            series: components["schemas"]["Series"][];
            type: string;
            zone: string;
        };
        /** @description other fields are ignored */
        DeviceEvent: {
            deviceId: string;
            /** @description one of the types that the site has configured */
            deviceType: string;
            /**
             * Format: date-time
             * @description with an offset; a number of seconds since the epoch is taken too
             */
            timestamp: string;
            /** Format: double */
            value: number;
            zone: string;
        };
        DeviceList: {
            /** @description in the order of the bytes of their ids */
            devices: components["schemas"]["Device"][];
            /** @description where there are more devices: `cursor` of the next answer */
            next: string | null;
        };
        DeviceType: {
            /**
             * Format: int64
             * @description how many have ever sent from there; one that has moved counts in both places
             */
            devices: number;
            /**
             * Format: date-time
             * @description of the newest reading
             */
            lastSeen: string;
            type: string;
            /** @description the first 1000 of them */
            zones: string[];
        };
        DeviceTypeList: {
            /** @description where there are more: `cursor` of the next answer */
            next: string | null;
            /** @description in the order of the bytes of their names */
            types: components["schemas"]["DeviceType"][];
        };
        Distribution: {
            /** @description ascending, without gaps; the counts add up to `count` */
            bins: components["schemas"]["DistributionBin"][];
            /** Format: int64 */
            count: number;
            /**
             * Format: date-time
             * @description and before this one
             */
            end: string;
            /** @description every count is: the digest has few values, or no bin ends between close ones */
            isExact: boolean;
            /** Format: double */
            max: number;
            /** Format: double */
            min: number;
            /**
             * Format: date-time
             * @description readings from this time on
             */
            start: string;
        };
        DistributionBin: {
            /** Format: int64 */
            count: number;
            /**
             * Format: int64
             * @description the true count is within count ± countError
             */
            countError: number;
            /**
             * Format: double
             * @description values from here on
             */
            from: number;
            /**
             * Format: double
             * @description and below this one; in the last bin, up to and including it
             */
            to: number;
        };
        /** @description a Problem, with the events that it is about where it is about events */
        EventsProblem: {
            /**
             * Format: int64
             * @description events that are durable in the event log now
             */
            accepted?: number;
            /** @enum {string} */
            code: "RELAY_CONFIG_INVALID" | "RELAY_DATABASE_UNREACHABLE" | "RELAY_DATABASE_POOLED" | "RELAY_STATEMENT_TIMEOUT" | "RELAY_MIGRATION_FAILED" | "RELAY_EVENT_LOG_UNREACHABLE" | "RELAY_EVENT_LOG_REFUSED" | "RELAY_RECORD_TOO_LARGE" | "RELAY_EVENT_LOG_UNSUPPORTED" | "RELAY_GROUP_FOREIGN" | "RELAY_GROUP_REFUSED" | "RELAY_TOPIC_MISSING" | "RELAY_OFFSET_GAP" | "RELAY_FLUSH_UNFINISHED" | "RELAY_REPLAY_REFUSED" | "RELAY_PARTITION_FENCED" | "RELAY_ROLLUP_CORRUPT" | "RELAY_PORT_IN_USE" | "RELAY_DATA_DIR_IN_USE" | "RELAY_PROGRAM_FAILED" | "RELAY_PARAMETER_MISSING" | "RELAY_PARAMETER_INVALID" | "RELAY_PARAMETER_UNKNOWN" | "RELAY_CURSOR_INVALID" | "RELAY_TOO_MANY_POINTS" | "RELAY_INTERVAL_TOO_FINE" | "RELAY_RANGE_INVALID" | "RELAY_RANGE_TOO_LONG" | "RELAY_DEVICE_TYPE_UNKNOWN" | "RELAY_UNAUTHORIZED" | "RELAY_FORBIDDEN" | "RELAY_RATE_LIMITED" | "RELAY_BUDGET_EXCEEDED" | "RELAY_ISSUER_UNREACHABLE" | "RELAY_API_KEY_UNKNOWN" | "RELAY_NO_DATA" | "RELAY_ROUTE_UNKNOWN" | "RELAY_HOST_UNKNOWN" | "RELAY_METHOD_NOT_ALLOWED" | "RELAY_REQUEST_INVALID" | "RELAY_REQUEST_TOO_SLOW" | "RELAY_HEADERS_TOO_LARGE" | "RELAY_BODY_TOO_LARGE" | "RELAY_BODY_TOO_SLOW" | "RELAY_MEDIA_TYPE_UNKNOWN" | "RELAY_EVENTS_REFUSED" | "RELAY_IDEMPOTENCY_KEY_REUSED" | "RELAY_IDEMPOTENCY_KEY_IN_USE" | "RELAY_INGEST_BUSY" | "RELAY_INGEST_OFF" | "RELAY_STREAM_FULL" | "RELAY_ANSWER_TOO_SLOW" | "RELAY_ANSWERS_BUSY" | "RELAY_CLIENT_GONE" | "RELAY_INTERNAL";
            /** @description what is wrong with this request, and what would help */
            detail: string;
            /** @description the detail once more */
            error: string;
            /** @description the request, as in x-request-id */
            instance: string;
            /** @description the parameter that is at fault, where it is one */
            parameter?: string;
            refused?: components["schemas"]["RefusedEvent"][];
            /** Format: int32 */
            status: number;
            title: string;
            /** @description a stable URI of the kind of problem */
            type: string;
        };
        IngestAnswer: {
            /**
             * Format: int64
             * @description events that are durable in the event log now
             */
            accepted: number;
            refused: components["schemas"]["RefusedEvent"][];
        };
        IssuedApiKey: {
            /** Format: date-time */
            createdAt: string;
            createdBy: string;
            /** @description null: all */
            devicePrefixes: string[] | null;
            /**
             * Format: date-time
             * @description null: never
             */
            expiresAt: string | null;
            /**
             * Format: date-time
             * @description until when the secret before the last rotation works; null: it does not
             */
            formerSecretUntil: string | null;
            id: string;
            /** @description the key; it is told this once */
            key: string;
            /**
             * Format: date-time
             * @description to the minute; null: never
             */
            lastUsedAt: string | null;
            name: string;
            /**
             * Format: date-time
             * @description null: it works
             */
            revokedAt: string | null;
            scopes: ("events:read" | "events:write" | "admin")[];
            /** @description null: all */
            zones: string[] | null;
        };
        LatestReading: {
            device: string;
            /**
             * Format: date-time
             * @description of the reading
             */
            timestamp: string;
            type: string;
            /** Format: double */
            value: number;
            zone: string;
        };
        /** @description RFC 9457; the codes are in docs/errors.md */
        Problem: {
            /** @enum {string} */
            code: "RELAY_CONFIG_INVALID" | "RELAY_DATABASE_UNREACHABLE" | "RELAY_DATABASE_POOLED" | "RELAY_STATEMENT_TIMEOUT" | "RELAY_MIGRATION_FAILED" | "RELAY_EVENT_LOG_UNREACHABLE" | "RELAY_EVENT_LOG_REFUSED" | "RELAY_RECORD_TOO_LARGE" | "RELAY_EVENT_LOG_UNSUPPORTED" | "RELAY_GROUP_FOREIGN" | "RELAY_GROUP_REFUSED" | "RELAY_TOPIC_MISSING" | "RELAY_OFFSET_GAP" | "RELAY_FLUSH_UNFINISHED" | "RELAY_REPLAY_REFUSED" | "RELAY_PARTITION_FENCED" | "RELAY_ROLLUP_CORRUPT" | "RELAY_PORT_IN_USE" | "RELAY_DATA_DIR_IN_USE" | "RELAY_PROGRAM_FAILED" | "RELAY_PARAMETER_MISSING" | "RELAY_PARAMETER_INVALID" | "RELAY_PARAMETER_UNKNOWN" | "RELAY_CURSOR_INVALID" | "RELAY_TOO_MANY_POINTS" | "RELAY_INTERVAL_TOO_FINE" | "RELAY_RANGE_INVALID" | "RELAY_RANGE_TOO_LONG" | "RELAY_DEVICE_TYPE_UNKNOWN" | "RELAY_UNAUTHORIZED" | "RELAY_FORBIDDEN" | "RELAY_RATE_LIMITED" | "RELAY_BUDGET_EXCEEDED" | "RELAY_ISSUER_UNREACHABLE" | "RELAY_API_KEY_UNKNOWN" | "RELAY_NO_DATA" | "RELAY_ROUTE_UNKNOWN" | "RELAY_HOST_UNKNOWN" | "RELAY_METHOD_NOT_ALLOWED" | "RELAY_REQUEST_INVALID" | "RELAY_REQUEST_TOO_SLOW" | "RELAY_HEADERS_TOO_LARGE" | "RELAY_BODY_TOO_LARGE" | "RELAY_BODY_TOO_SLOW" | "RELAY_MEDIA_TYPE_UNKNOWN" | "RELAY_EVENTS_REFUSED" | "RELAY_IDEMPOTENCY_KEY_REUSED" | "RELAY_IDEMPOTENCY_KEY_IN_USE" | "RELAY_INGEST_BUSY" | "RELAY_INGEST_OFF" | "RELAY_STREAM_FULL" | "RELAY_ANSWER_TOO_SLOW" | "RELAY_ANSWERS_BUSY" | "RELAY_CLIENT_GONE" | "RELAY_INTERNAL";
            /** @description what is wrong with this request, and what would help */
            detail: string;
            /** @description the detail once more */
            error: string;
            /** @description the request, as in x-request-id */
            instance: string;
            /** @description the parameter that is at fault, where it is one */
            parameter?: string;
            /** Format: int32 */
            status: number;
            title: string;
            /** @description a stable URI of the kind of problem */
            type: string;
        };
        RangeRollup: {
            /** Format: double */
            avgValue: number;
            /** Format: int64 */
            count: number;
            coverage: components["schemas"]["Coverage"];
            deviceId: string | null;
            deviceType: string | null;
            /** Format: double */
            maxValue: number;
            /**
             * Format: double
             * @description in the unit of the value: the true median is within medianValue ± medianError; 0: it is exact; null: values so far apart that no double bounds it
             */
            medianError: number | null;
            /**
             * Format: double
             * @description of an even number of readings, the mean of the two in the middle
             */
            medianValue: number;
            /** Format: double */
            minValue: number;
            /** @description endTime as the client sent it */
            timeWindowEnd: string;
            /** @description startTime as the client sent it */
            timeWindowStart: string;
            zone: string | null;
        };
        RankedRow: {
            /**
             * Format: int64
             * @description readings
             */
            count: number;
            device?: string;
            /**
             * Format: double
             * @description of a percentile: the true one is within value ± error; null: values so far apart that no number bounds it
             */
            error?: number | null;
            type?: string;
            /** Format: double */
            value: number;
            zone?: string;
        };
        Ranking: {
            /** Format: date-time */
            end: string;
            /** @description the best first; equal ones by the bytes of their names */
            rows: components["schemas"]["RankedRow"][];
            /** Format: date-time */
            start: string;
            stat: string;
            /**
             * Format: int64
             * @description how many have readings in the range, but no such number
             */
            unranked: number;
        };
        RefusedEvent: {
            detail: string;
            /** @description the field at fault, where it is one */
            field?: string;
            /**
             * Format: int64
             * @description which event of the body, from 0; blank lines do not count
             */
            index: number;
            /** @enum {string} */
            reason: "record-empty" | "oversized" | "not-utf8" | "not-json" | "not-object" | "field-duplicate" | "field-missing" | "field-type" | "id-invalid" | "device-type-unknown" | "value-not-finite" | "timestamp-invalid" | "timestamp-before-epoch" | "timestamp-future" | "too-old" | "too-complex" | "quota-exceeded" | "not-granted";
        };
        RollupMessage: {
            /** Format: double */
            avg: number;
            /** Format: date-time */
            bucketEnd: string;
            /** Format: date-time */
            bucketStart: string;
            /** Format: int64 */
            count: number;
            /** @description where the stream is grouped by devices */
            device?: string;
            /**
             * Format: double
             * @description the newest reading
             */
            last: number;
            /** Format: date-time */
            lastTime: string;
            /** Format: double */
            max: number;
            /** Format: double */
            median: number;
            /**
             * Format: double
             * @description the true median is within median ± medianError; null: no double bounds it
             */
            medianError: number | null;
            /** Format: double */
            min: number;
            /**
             * Format: double
             * @description null: it is beyond the range of doubles
             */
            sum: number | null;
            /** @description where it is grouped by types */
            type?: string;
            /** @description where it is grouped by zones */
            zone?: string;
        };
        Series: {
            /**
             * Format: date-time
             * @description of the first reading that is kept
             */
            firstSeen: string;
            /**
             * Format: date-time
             * @description of the newest reading
             */
            lastSeen: string;
            /**
             * Format: double
             * @description of the newest reading; of several at that time, the greatest
             */
            lastValue: number;
            type: string;
            zone: string;
        };
        TimeRange: {
            /** Format: date-time */
            end: string;
            /** Format: date-time */
            start: string;
        };
        Zone: {
            /**
             * Format: int64
             * @description how many have ever sent from there; one that has moved counts in both places
             */
            devices: number;
            /**
             * Format: date-time
             * @description of the newest reading
             */
            lastSeen: string;
            types: string[];
            zone: string;
        };
        ZoneList: {
            /** @description where there are more: `cursor` of the next answer */
            next: string | null;
            /** @description in the order of the bytes of their names */
            zones: components["schemas"]["Zone"][];
        };
    };
    responses: never;
    parameters: never;
    requestBodies: never;
    headers: never;
    pathItems: never;
}
export type $defs = Record<string, never>;
export interface operations {
    getDeviceRollup: {
        parameters: {
            query: {
                /** @description ISO-8601 with any offset; readings before this time */
                endTime: string;
                /** @description ISO-8601 with any offset; readings from this time on */
                startTime: string;
            };
            header?: never;
            path: {
                deviceId: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Default Response */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["RangeRollup"];
                };
            };
            /** @description Bad Request */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Unauthorized */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Forbidden */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Not Found */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too Many Requests */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Internal Server Error */
            500: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Service Unavailable */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    getTypeRollup: {
        parameters: {
            query: {
                /** @description ISO-8601 with any offset; readings before this time */
                endTime: string;
                /** @description ISO-8601 with any offset; readings from this time on */
                startTime: string;
            };
            header?: never;
            path: {
                deviceType: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Default Response */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["RangeRollup"];
                };
            };
            /** @description Bad Request */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Unauthorized */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Forbidden */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Not Found */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too Many Requests */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Internal Server Error */
            500: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Service Unavailable */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    getZoneRollup: {
        parameters: {
            query: {
                /** @description ISO-8601 with any offset; readings before this time */
                endTime: string;
                /** @description ISO-8601 with any offset; readings from this time on */
                startTime: string;
            };
            header?: never;
            path: {
                zone: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Default Response */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["RangeRollup"];
                };
            };
            /** @description Bad Request */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Unauthorized */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Forbidden */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Not Found */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too Many Requests */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Internal Server Error */
            500: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Service Unavailable */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    getZoneTypeRollup: {
        parameters: {
            query: {
                /** @description ISO-8601 with any offset; readings before this time */
                endTime: string;
                /** @description ISO-8601 with any offset; readings from this time on */
                startTime: string;
            };
            header?: never;
            path: {
                deviceType: string;
                zone: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Default Response */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["RangeRollup"];
                };
            };
            /** @description Bad Request */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Unauthorized */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Forbidden */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Not Found */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too Many Requests */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Internal Server Error */
            500: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Service Unavailable */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    getAggregates: {
        parameters: {
            query?: {
                /** @description `next` of the answer before; all other parameters stay as they were */
                cursor?: string;
                /** @description only this device; may be given several times */
                device?: string[];
                /** @description readings before this time: ISO-8601 with an offset, or relative to now, such as `now`, `-24h`, `now-7d` */
                end?: string;
                /** @description rows without readings are left out (`none`), are null, or are filled in: from the row before them in time (`previous`), which may be before `start`, or on a straight line between two (`linear`). They say so in `filled` */
                fill?: "none" | "null" | "previous" | "linear";
                /** @description how rows are written; without it the header Accept chooses, and json is the default */
                format?: "json" | "csv" | "ndjson";
                /** @description rows of each device, zone or type by itself; else of all that is selected */
                groupBy?: "device" | "zone" | "type";
                /** @description how long rows are, on the clock of `tz`: minutes and hours that days are a multiple of (`5m`, `1h`, `6h`), days (`1d`), weeks from Monday (`1w`), months that years are a multiple of (`1mo`, `3mo`), years (`1y`), `range` (one row), or `auto`: the shortest with at most `maxPoints` rows */
                interval?: string;
                /** @description most rows; where there are more, `next` is their cursor */
                limit?: number;
                /** @description readings further apart have no step between them: `30s`, `15m`, `1h`, `1d` at most */
                maxGap?: string;
                /** @description most rows of a group, for `auto` */
                maxPoints?: number;
                /** @description by time, within a group */
                order?: "asc" | "desc";
                /** @description readings from this time on: ISO-8601 with an offset, or relative to now, such as `now`, `-24h`, `now-7d` */
                start?: string;
                /** @description which numbers, commas between them: count, sum, avg, min, max, median, stddev, first, last, increase, rate, timeWeightedAvg, p0 … p100 (any percentile: p99.9). A percentile has an error beside it: the true one is within ± that; 0: it is exact. `increase` (a value that falls is a counter that began at 0 again), `rate` (increase a second) and `timeWeightedAvg` are made of the readings that minutes keep; readings further apart than `maxGap` have nothing between them */
                stats?: string;
                /** @description only this device type; may be given several times */
                type?: string[];
                /** @description IANA time zone that days and hours are of, such as `Europe/Berlin` */
                tz?: string;
                /** @description only this zone; may be given several times */
                zone?: string[];
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description rows */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Aggregates"];
                };
            };
            /** @description the answer is the one of If-None-Match */
            304: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            /** @description Bad Request */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Unauthorized */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Forbidden */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too Many Requests */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Internal Server Error */
            500: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Service Unavailable */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    compareRanges: {
        parameters: {
            query?: {
                /** @description previous: the range that ends where this one begins; weekday: from and to the same times of the same weekdays on the clock of `tz`, as many weeks earlier as it takes not to overlap, mostly one */
                against?: "previous" | "weekday";
                /** @description only this device; may be given several times */
                device?: string[];
                /** @description readings before this time: ISO-8601 with an offset, or relative to now, such as `now`, `-24h`, `now-7d` */
                end?: string;
                /** @description readings from this time on: ISO-8601 with an offset, or relative to now, such as `now`, `-24h`, `now-7d` */
                start?: string;
                /** @description which numbers, commas between them: count, sum, avg, min, max, median, stddev, first, last, increase, rate, timeWeightedAvg, p0 … p100 (any percentile: p99.9). A percentile has an error beside it: the true one is within ± that; 0: it is exact. `increase` (a value that falls is a counter that began at 0 again), `rate` (increase a second) and `timeWeightedAvg` are made of the readings that minutes keep; readings further apart than `maxGap` have nothing between them */
                stats?: string;
                /** @description only this device type; may be given several times */
                type?: string[];
                /** @description IANA time zone whose weekdays are compared, such as `Europe/Berlin` */
                tz?: string;
                /** @description only this zone; may be given several times */
                zone?: string[];
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Default Response */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Comparison"];
                };
            };
            /** @description Bad Request */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Unauthorized */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Forbidden */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Not Found */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too Many Requests */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Internal Server Error */
            500: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Service Unavailable */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    listDevices: {
        parameters: {
            query?: {
                /** @description `next` of the answer before, to go on behind it */
                cursor?: string;
                /** @description only this device; may be given several times */
                device?: string[];
                /** @description most that the answer may hold */
                limit?: number;
                /** @description only devices whose id begins so */
                prefix?: string;
                /** @description only this device type; may be given several times */
                type?: string[];
                /** @description only this zone; may be given several times */
                zone?: string[];
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Default Response */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["DeviceList"];
                };
            };
            /** @description Bad Request */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Unauthorized */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Forbidden */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too Many Requests */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Internal Server Error */
            500: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Service Unavailable */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    getDevice: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                device: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Default Response */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["DeviceDetails"];
                };
            };
            /** @description Bad Request */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Unauthorized */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Forbidden */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Not Found */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too Many Requests */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Internal Server Error */
            500: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Service Unavailable */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    getLatestReading: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                device: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Default Response */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["LatestReading"];
                };
            };
            /** @description Bad Request */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Unauthorized */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Forbidden */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Not Found */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too Many Requests */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Internal Server Error */
            500: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Service Unavailable */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    getDistribution: {
        parameters: {
            query?: {
                /** @description how many; fewer come back where the values are too close */
                bins?: number;
                /** @description only this device; may be given several times */
                device?: string[];
                /** @description readings before this time: ISO-8601 with an offset, or relative to now, such as `now`, `-24h`, `now-7d` */
                end?: string;
                /** @description linear: bins of equal width; log: of equal ratio, and one more for values that are not positive */
                scale?: "linear" | "log";
                /** @description readings from this time on: ISO-8601 with an offset, or relative to now, such as `now`, `-24h`, `now-7d` */
                start?: string;
                /** @description only this device type; may be given several times */
                type?: string[];
                /** @description only this zone; may be given several times */
                zone?: string[];
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Default Response */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Distribution"];
                };
            };
            /** @description Bad Request */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Unauthorized */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Forbidden */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Not Found */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too Many Requests */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Internal Server Error */
            500: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Service Unavailable */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    sendEvents: {
        parameters: {
            query?: never;
            header?: {
                /** @description any text that no other body of this caller has */
                "idempotency-key"?: string;
            };
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["DeviceEvent"][];
            };
        };
        responses: {
            /** @description All events were accepted */
            202: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["IngestAnswer"];
                };
            };
            /** @description Some events were accepted, and `refused` says which were not */
            207: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["IngestAnswer"];
                };
            };
            /** @description Bad Request */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Unauthorized */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Forbidden */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Request Timeout */
            408: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Conflict */
            409: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Payload Too Large */
            413: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Unsupported Media Type */
            415: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description No event was accepted, or the Idempotency-Key belongs to another body */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["EventsProblem"];
                };
            };
            /** @description The caller has used up a limit; where that is a quota of what stays, `refused` names the events */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["EventsProblem"];
                };
            };
            /** @description Internal Server Error */
            500: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Service Unavailable */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    listKeys: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Default Response */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ApiKeyList"];
                };
            };
            /** @description Bad Request */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Unauthorized */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Forbidden */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too Many Requests */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Internal Server Error */
            500: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Service Unavailable */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    createKey: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["ApiKeyRequest"];
            };
        };
        responses: {
            /** @description Default Response */
            201: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["IssuedApiKey"];
                };
            };
            /** @description Bad Request */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Unauthorized */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Forbidden */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too Many Requests */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Internal Server Error */
            500: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Service Unavailable */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    revokeKey: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description id of the key */
                id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Default Response */
            204: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            /** @description Bad Request */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Unauthorized */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Forbidden */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Not Found */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too Many Requests */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Internal Server Error */
            500: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Service Unavailable */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    rotateKey: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description id of the key */
                id: string;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["ApiKeyRotation"];
            };
        };
        responses: {
            /** @description Default Response */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["IssuedApiKey"];
                };
            };
            /** @description Bad Request */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Unauthorized */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Forbidden */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Not Found */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too Many Requests */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Internal Server Error */
            500: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Service Unavailable */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    streamRollups: {
        parameters: {
            query?: {
                /** @description only this device; may be given several times */
                device?: string[];
                /** @description a rollup for each; without it one for all */
                groupBy?: "device" | "zone" | "type";
                /** @description how long buckets are; days are those of UTC */
                interval?: "1m" | "1h" | "1d";
                /** @description only this device type; may be given several times */
                type?: string[];
                /** @description only this zone; may be given several times */
                zone?: string[];
            };
            header?: {
                /** @description as it came */
                "last-event-id"?: string;
            };
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The data of `rollup`; other events have little or none */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "text/event-stream": components["schemas"]["RollupMessage"];
                };
            };
            /** @description Bad Request */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Unauthorized */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Forbidden */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too Many Requests */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Internal Server Error */
            500: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Service Unavailable */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    getTop: {
        parameters: {
            query?: {
                /** @description only this device; may be given several times */
                device?: string[];
                /** @description readings before this time: ISO-8601 with an offset, or relative to now, such as `now`, `-24h`, `now-7d` */
                end?: string;
                /** @description what is ranked */
                groupBy?: "device" | "zone" | "type";
                /** @description how many */
                limit?: number;
                /** @description desc: the highest first; asc: the lowest */
                order?: "desc" | "asc";
                /** @description readings from this time on: ISO-8601 with an offset, or relative to now, such as `now`, `-24h`, `now-7d` */
                start?: string;
                /** @description by which number, one of count, sum, avg, min, max, median, stddev, first, last, increase, rate, timeWeightedAvg, p0 … p100 */
                stat?: string;
                /** @description only this device type; may be given several times */
                type?: string[];
                /** @description only this zone; may be given several times */
                zone?: string[];
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Default Response */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Ranking"];
                };
            };
            /** @description Bad Request */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Unauthorized */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Forbidden */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too Many Requests */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Internal Server Error */
            500: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Service Unavailable */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    listTypes: {
        parameters: {
            query?: {
                /** @description `next` of the answer before, to go on behind it */
                cursor?: string;
                /** @description most that the answer may hold */
                limit?: number;
                /** @description only this zone; may be given several times */
                zone?: string[];
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Default Response */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["DeviceTypeList"];
                };
            };
            /** @description Bad Request */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Unauthorized */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Forbidden */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too Many Requests */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Internal Server Error */
            500: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Service Unavailable */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    listZones: {
        parameters: {
            query?: {
                /** @description `next` of the answer before, to go on behind it */
                cursor?: string;
                /** @description most that the answer may hold */
                limit?: number;
                /** @description only this device type; may be given several times */
                type?: string[];
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Default Response */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ZoneList"];
                };
            };
            /** @description Bad Request */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Unauthorized */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Forbidden */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too Many Requests */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Internal Server Error */
            500: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Service Unavailable */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
}
